"""A program with RabbitMQ that the Python tracer watches: produces, consumes, and passes on, as its arguments say.

Arguments: the broker, then steps: `produce:EXCHANGE:KEY`, `consume:QUEUE`, `pass:QUEUE:EXCHANGE:KEY`. Ends with a line when all of it is
done; what was seen goes to the agent.
"""

import sys

from ddtrace import patch
from ddtrace import tracer

patch(kombu=True)

import kombu  # noqa: E402

connection = kombu.Connection(sys.argv[1])
connection.connect()


def produce(exchange, key):
    connection.Producer(auto_declare=False).publish("from Python", exchange=exchange, routing_key=key)


def consume(queue, *then):
    taken = []

    def take(body, message):
        taken.append(message)

    queues = [kombu.Queue(queue)]
    accept = ["json", "text/plain"]
    with kombu.Consumer(connection, queues, callbacks=[take], accept=accept, auto_declare=False, prefetch_count=1):
        connection.drain_events(timeout=60)
    # One message is enough: after an acknowledgement the broker would hand out the next, which is for whoever comes next.
    for message in taken:
        message.ack()
    if then:
        produce(*then)


for step in sys.argv[2:]:
    kind, *arguments = step.split(":")
    if kind == "produce":
        produce(*arguments)
    else:
        consume(*arguments)
connection.release()
tracer.shutdown()
print("done", flush=True)
