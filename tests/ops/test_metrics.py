"""Metrics: a page Prometheus can parse, one registry a hub."""

from prometheus_client.parser import text_string_to_metric_families

from app.metrics import Metrics


def test_the_page_parses_and_counts() -> None:
    metrics = Metrics()
    metrics.requests.labels("GET", "/api/homes", "200").inc()
    metrics.commit_acts.observe(7)
    families = {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}
    (sample,) = [s for s in families["doorstep_requests"].samples if s.name.endswith("_total")]
    assert (sample.labels["route"], sample.value) == ("/api/homes", 1.0)
    assert "process_resident_memory_bytes" in families


def test_two_hubs_do_not_mix() -> None:
    one, two = Metrics(), Metrics()
    one.commits.inc()
    assert b"doorstep_store_commits_total 1.0" in one.render()
    assert b"doorstep_store_commits_total 0.0" in two.render()
