"""A program with Kafka that the Python tracer watches: produces, consumes, and passes on, as its arguments say.

Arguments: the brokers, then steps: `produce:TOPIC`, `consume:TOPIC:GROUP`, `pass:TOPIC:GROUP:TOPIC`. Ends with a line when all of it
is done; what was seen goes to the agent.
"""

import sys
import time

from ddtrace import patch
from ddtrace import tracer

patch(kafka=True)

import confluent_kafka  # noqa: E402

SERVERS = sys.argv[1]


def produce(topic):
    producer = confluent_kafka.Producer({"bootstrap.servers": SERVERS})
    producer.produce(topic, value=b"from Python", key="k", partition=0)
    assert producer.flush(60) == 0


def consume(topic, group, then=None):
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": SERVERS, "group.id": group, "auto.offset.reset": "earliest"}
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    deadline = time.time() + 60
    while True:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            break
        assert time.time() < deadline, "no message"
    if then:
        produce(then)
    # Leaving the group would take the mock cluster seconds, and there is nothing to hand over.


for step in sys.argv[2:]:
    kind, *arguments = step.split(":")
    if kind == "produce":
        produce(*arguments)
    else:
        consume(*arguments)
tracer.shutdown()
print("done", flush=True)
