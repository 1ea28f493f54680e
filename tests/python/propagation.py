"""The Python tracer's side of an exchange of headers: a JSON object per line in, one per line out.

{"inject": {"trace_id": hex, "span_id": hex, "priority": int, "meta": {...}, "baggage": {...}}}  ->  {"headers": {...}}
{"extract": {"name": "value", ...}}
    ->  {"trace_id": hex, "span_id": hex, "priority": int or null, "meta": {...}, "baggage": {...}, "tracestate": text}
"""

import json
import sys

from ddtrace.propagation.http import HTTPPropagator
from ddtrace.trace import Context


def inject(context):
    headers = {}
    HTTPPropagator.inject(
        Context(
            trace_id=int(context["trace_id"], 16),
            span_id=int(context["span_id"], 16),
            sampling_priority=context["priority"],
            meta=context["meta"],
            baggage=context.get("baggage"),
        ),
        headers,
    )
    return {"headers": headers}


def extract(headers):
    context = HTTPPropagator.extract(headers)
    return {
        "trace_id": "%032x" % (context.trace_id or 0),
        "span_id": "%016x" % (context.span_id or 0),
        "priority": context.sampling_priority,
        "meta": {key: value for key, value in context._meta.items() if key.startswith(("_dd.", "baggage."))},
        "baggage": context.get_all_baggage_items(),
        "tracestate": context._meta.get("tracestate", ""),
    }


for line in sys.stdin:
    request = json.loads(line)
    answer = inject(request["inject"]) if "inject" in request else extract(request["extract"])
    print(json.dumps(answer), flush=True)
