"""Records of one prediction through the pipeline, as a broker has them."""

import json

from google.protobuf import message

from bellwether.audit import dossier, records
from runtimes.contract import inference

ID = "4b23ccfa-cb53-403b-8525-8dd5dc3679ef"
ARTIFACT = "sha256-" + "ab" * 32
PIPELINE = "financial-prediction-pipeline"
START = 1_700_000_000_000
EXPLANATION = {
    "method": "exact linear SHAP and TreeSHAP",
    "base_value": -1.59,
    "output": -1.48,
    "attributions": [
        {
            "feature": "log_variance_22d",
            "value": -2.86,
            "unit": "ln(variance a year)",
            "contribution": 0.077,
            "effect_percent": 8.0,
        }
    ],
    "rest": 0.033,
    "completeness_error": 2e-16,
}
RULES = [
    {"name": "drifted", "of": "confidence", "before": 0.8, "after": 0.7, "reason": "score 0.6"}
]
ANSWER = {
    "prediction_id": ("BYTES", [ID]),
    "symbol": ("BYTES", ["SPX"]),
    "date": ("BYTES", ["2018-12-31"]),
    "prediction": ("FP64", [0.2214]),
    "interval": ("FP64", [0.144, 0.328]),
    "direction": ("FP64", [0.502]),
    "confidence": ("FP64", [0.775]),
    "position": ("FP64", [0.452]),
    "rules": ("BYTES", [json.dumps(RULES)]),
    "explanation": ("BYTES", [json.dumps(EXPLANATION)]),
    "regime": ("BYTES", ["falling"]),
    "model": ("BYTES", ["conservative-predictor", "1", ARTIFACT]),
}


def infer(tensors: dict[str, tuple[str, list]]) -> bytes:
    made: message.Message = inference._MESSAGE()
    fields = {"BYTES": "bytes_contents", "FP64": "fp64_contents"}
    for name, (datatype, data) in tensors.items():
        tensor = made.tensors.add(name=name, datatype=datatype, shape=[len(data)])
        values = [each.encode() if isinstance(each, str) else each for each in data]
        getattr(tensor.contents, fields[datatype]).extend(values)
    return made.SerializeToString()


def record(topic: str, value: bytes, at: int = 0, key: str = ID) -> records.Record:
    return records.Record(topic, 0, at, START + at, key, value, ())


def model(name: str, side: str) -> str:
    return inference.topic("bellwether", "model", name, side)


def pipeline_records() -> list[records.Record]:
    answered = inference.topic("bellwether", "pipeline", PIPELINE, "outputs")
    asked = inference.topic("bellwether", "pipeline", PIPELINE, "inputs")
    enriched = {
        "id": ID,
        "symbol": "SPX",
        "date": "2018-12-31",
        "market_time": "2018-12-31T21:00:00Z",
        "features": {"log_variance_22d": -2.86, "rsi_14d": 80.0, "headlines": None},
        "views": {
            "technical_indicators": {
                "time": "2018-12-31T21:00:00+00:00",
                "features": ["log_variance_22d", "rsi_14d"],
            }
        },
        "given": ["rsi_14d"],
    }
    routing = {
        "id": ID,
        "regime": "falling",
        "branch": "conservative",
        "reason": "trend -0.09 < -0.02",
    }
    drift = {
        "kind": "drifted",
        "time": "2018-12-30T21:00:00Z",
        "score": 0.6,
        "features": [{"name": "rsi_14d", "statistic": 0.9, "critical": 0.8, "days": 25}],
    }
    reward = {"prediction_id": ID, "metric": "business_value", "value": 0.031, "time": 1.0}
    return [
        record(dossier.DRIFT, json.dumps(drift).encode(), 0, key="SPX"),
        record(asked, infer({"symbol": ("BYTES", ["SPX"])}), 1),
        record(dossier.ENRICHED, json.dumps(enriched).encode(), 2, key="SPX"),
        record(
            model("enrichment", "outputs"),
            infer(
                {
                    "quality_score": ("FP64", [0.97]),
                    "quality": ("BYTES", [json.dumps({"missing": ["headlines"], "reason": "ok"})]),
                }
            ),
            3,
        ),
        record(
            model("guard", "outputs"),
            infer(
                {
                    "drift_score": ("FP64", [0.6]),
                    "anomaly_score": ("FP64", [0.3]),
                    "accepted": ("BYTES", ["drifted: rsi_14d"]),
                }
            ),
            4,
        ),
        record(dossier.ROUTING, json.dumps(routing).encode(), 5, key="SPX"),
        record(answered, infer(ANSWER), 6),
        record("rewards", json.dumps(reward).encode(), 700_000),
    ]
