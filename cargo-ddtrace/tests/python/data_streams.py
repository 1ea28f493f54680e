"""Sends pipeline statistics with the Python tracer: one message, produced and consumed, and two offsets."""

import time

from ddtrace.data_streams import set_consume_checkpoint, set_produce_checkpoint
from ddtrace.internal.datastreams import data_streams_processor

headers = {}
set_produce_checkpoint("kafka", "orders", headers.setdefault)
time.sleep(0.02)
set_consume_checkpoint("kafka", "orders", headers.get)
processor = data_streams_processor()
processor.track_kafka_produce("orders", 1, 34, time.time())
processor.track_kafka_commit("billing", "orders", 1, 14, time.time())
processor.periodic()
