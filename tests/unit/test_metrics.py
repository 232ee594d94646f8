"""The catalogue of metrics and what is built from it."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker.metrics import CATALOGUE, Metrics, Spec


def test_every_metric_of_the_catalogue_is_built_once() -> None:
    """Each specification has its metric, of its kind and with its labels, and there is no other."""
    metrics = Metrics(CollectorRegistry())
    built = {value._name: value for value in vars(metrics).values() if isinstance(value, Counter | Gauge | Histogram)}

    assert built.keys() == {spec.name for spec in CATALOGUE}
    for spec in CATALOGUE:
        assert type(built[spec.name]).__name__.lower() == spec.kind
        assert built[spec.name]._labelnames == spec.labels


def test_a_registry_takes_the_metrics_once() -> None:
    """Two workers in one process need two registries."""
    registry = CollectorRegistry()
    Metrics(registry)

    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(registry)


@pytest.mark.parametrize("spec", CATALOGUE, ids=lambda spec: spec.name)
def test_every_metric_says_when_to_worry(spec: Spec) -> None:
    """Name, meaning and the reason to look are sentences for the engineer on call."""
    assert spec.name.startswith("rsafe_")
    assert spec.meaning.endswith(".")
    assert spec.worry
