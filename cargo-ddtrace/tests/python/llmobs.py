"""Uses LLM Observability of the Python tracer against a local agent: spans, an evaluation, a dataset, an experiment.

Prints one line of JSON with what the tracer made of the answers.
"""

import json

from ddtrace.llmobs import LLMObs
from ddtrace.llmobs.decorators import llm, tool, workflow

LLMObs.enable(ml_app="assistant", project_name="capitals")


@tool
def look_up(key):
    return "found"


@llm(model_name="gpt-4o", model_provider="openai")
def answer(question):
    LLMObs.annotate(
        input_data=[{"role": "user", "content": question}],
        output_data=[{"role": "assistant", "content": "hi"}],
        metrics={"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
        prompt={"id": "greet", "version": "1", "template": "say {{x}}", "variables": {"x": "hi"}},
    )
    return "hi"


@workflow
def handle(question):
    LLMObs.annotate(input_data=question, output_data="done")
    look_up("x")
    answer(question)
    span = LLMObs.export_span()
    LLMObs.submit_evaluation(span=span, label="quality", metric_type="score", value=0.9, assessment="pass")


handle("Which capital?")
LLMObs.flush()

records = [
    {"input_data": {"country": "France"}, "expected_output": "Paris"},
    {"input_data": {"country": "Italy"}, "expected_output": "Rome"},
]
dataset = LLMObs.create_dataset(dataset_name="capitals", description="of countries", records=records)
dataset.append({"input_data": {"country": "Spain"}, "expected_output": "Madrid"})
dataset.push()
pulled = LLMObs.pull_dataset("capitals")
first = LLMObs.pull_dataset("capitals", version=1)


def task(input_data, config):
    return {"France": "Paris"}.get(input_data["country"], "Rome")


def exact(input_data, output_data, expected_output):
    return output_data == expected_output


experiment = LLMObs.experiment(name="first try", task=task, dataset=pulled, evaluators=[exact], runs=2)
experiment.run()
again = LLMObs.pull_experiment(experiment._id)
listed = LLMObs.list_experiments()
print(
    json.dumps(
        {
            "version": pulled.latest_version,
            "records": [record["expected_output"] for record in pulled],
            "first": [record["expected_output"] for record in first],
            "experiment": experiment._id,
            "pulled": str(type(again).__name__),
            "status": [one["status"] for one in listed],
        }
    )
)
