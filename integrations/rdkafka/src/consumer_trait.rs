//! rdkafka's trait `Consumer` for both of our consumers: what tells the broker something is watched, the rest goes straight
//! through.

macro_rules! delegate {
    ($name:ident<C $(, $other:ident)?>) => {
        impl<C $(, $other)?> rdkafka::consumer::Consumer<C> for $name<C $(, $other)?>
        where
            C: ConsumerContext,
        {
            fn client(&self) -> &rdkafka::client::Client<C> {
                self.inner.client()
            }

            fn group_metadata(&self) -> Option<rdkafka::consumer::ConsumerGroupMetadata> {
                self.inner.group_metadata()
            }

            fn subscribe(&self, topics: &[&str]) -> KafkaResult<()> {
                self.inner.subscribe(topics)
            }

            fn unsubscribe(&self) {
                self.inner.unsubscribe();
            }

            fn assign(&self, assignment: &rdkafka::TopicPartitionList) -> KafkaResult<()> {
                self.inner.assign(assignment)
            }

            fn unassign(&self) -> KafkaResult<()> {
                self.inner.unassign()
            }

            fn incremental_assign(&self, assignment: &rdkafka::TopicPartitionList) -> KafkaResult<()> {
                self.inner.incremental_assign(assignment)
            }

            fn incremental_unassign(&self, assignment: &rdkafka::TopicPartitionList) -> KafkaResult<()> {
                self.inner.incremental_unassign(assignment)
            }

            fn seek<T: Into<rdkafka::util::Timeout>>(
                &self,
                topic: &str,
                partition: i32,
                offset: rdkafka::Offset,
                timeout: T,
            ) -> KafkaResult<()> {
                self.inner.seek(topic, partition, offset, timeout)
            }

            fn seek_partitions<T: Into<rdkafka::util::Timeout>>(
                &self,
                partitions: rdkafka::TopicPartitionList,
                timeout: T,
            ) -> KafkaResult<rdkafka::TopicPartitionList> {
                self.inner.seek_partitions(partitions, timeout)
            }

            fn commit(
                &self,
                offsets: &rdkafka::TopicPartitionList,
                mode: rdkafka::consumer::CommitMode,
            ) -> KafkaResult<()> {
                let result = self.inner.commit(offsets, mode);
                self.watch.after_commit(&result, offsets);
                result
            }

            fn commit_consumer_state(&self, mode: rdkafka::consumer::CommitMode) -> KafkaResult<()> {
                self.inner.commit_consumer_state(mode)
            }

            fn commit_message(
                &self,
                message: &BorrowedMessage<'_>,
                mode: rdkafka::consumer::CommitMode,
            ) -> KafkaResult<()> {
                use rdkafka::Message as _;
                let result = self.inner.commit_message(message, mode);
                let (topic, partition) = (message.topic(), message.partition());
                self.watch.after_commit_of(&result, topic, partition, message.offset());
                result
            }

            fn store_offset(&self, topic: &str, partition: i32, offset: i64) -> KafkaResult<()> {
                let result = self.inner.store_offset(topic, partition, offset);
                self.watch.after_store_of(&result, topic, partition, offset);
                result
            }

            fn store_offset_from_message(&self, message: &BorrowedMessage<'_>) -> KafkaResult<()> {
                use rdkafka::Message as _;
                let result = self.inner.store_offset_from_message(message);
                let (topic, partition) = (message.topic(), message.partition());
                self.watch.after_store_of(&result, topic, partition, message.offset());
                result
            }

            fn store_offsets(&self, offsets: &rdkafka::TopicPartitionList) -> KafkaResult<()> {
                let result = self.inner.store_offsets(offsets);
                self.watch.after_store(&result, offsets);
                result
            }

            fn subscription(&self) -> KafkaResult<rdkafka::TopicPartitionList> {
                self.inner.subscription()
            }

            fn assignment(&self) -> KafkaResult<rdkafka::TopicPartitionList> {
                self.inner.assignment()
            }

            fn assignment_lost(&self) -> bool {
                self.inner.assignment_lost()
            }

            fn committed<T>(&self, timeout: T) -> KafkaResult<rdkafka::TopicPartitionList>
            where
                T: Into<rdkafka::util::Timeout>,
            {
                self.inner.committed(timeout)
            }

            fn committed_offsets<T>(
                &self,
                partitions: rdkafka::TopicPartitionList,
                timeout: T,
            ) -> KafkaResult<rdkafka::TopicPartitionList>
            where
                T: Into<rdkafka::util::Timeout>,
            {
                self.inner.committed_offsets(partitions, timeout)
            }

            fn offsets_for_timestamp<T>(
                &self,
                timestamp: i64,
                timeout: T,
            ) -> KafkaResult<rdkafka::TopicPartitionList>
            where
                T: Into<rdkafka::util::Timeout>,
            {
                self.inner.offsets_for_timestamp(timestamp, timeout)
            }

            fn offsets_for_times<T>(
                &self,
                timestamps: rdkafka::TopicPartitionList,
                timeout: T,
            ) -> KafkaResult<rdkafka::TopicPartitionList>
            where
                T: Into<rdkafka::util::Timeout>,
            {
                self.inner.offsets_for_times(timestamps, timeout)
            }

            fn position(&self) -> KafkaResult<rdkafka::TopicPartitionList> {
                self.inner.position()
            }

            fn fetch_metadata<T>(
                &self,
                topic: Option<&str>,
                timeout: T,
            ) -> KafkaResult<rdkafka::metadata::Metadata>
            where
                T: Into<rdkafka::util::Timeout>,
            {
                self.inner.fetch_metadata(topic, timeout)
            }

            fn fetch_watermarks<T>(
                &self,
                topic: &str,
                partition: i32,
                timeout: T,
            ) -> KafkaResult<(i64, i64)>
            where
                T: Into<rdkafka::util::Timeout>,
            {
                self.inner.fetch_watermarks(topic, partition, timeout)
            }

            fn fetch_group_list<T>(
                &self,
                group: Option<&str>,
                timeout: T,
            ) -> KafkaResult<rdkafka::groups::GroupList>
            where
                T: Into<rdkafka::util::Timeout>,
            {
                self.inner.fetch_group_list(group, timeout)
            }

            fn pause(&self, partitions: &rdkafka::TopicPartitionList) -> KafkaResult<()> {
                self.inner.pause(partitions)
            }

            fn resume(&self, partitions: &rdkafka::TopicPartitionList) -> KafkaResult<()> {
                self.inner.resume(partitions)
            }

            fn rebalance_protocol(&self) -> rdkafka::consumer::RebalanceProtocol {
                self.inner.rebalance_protocol()
            }
        }
    };
}

pub(crate) use delegate;
