"""Requests made from the API's own description, valid and not, alone and in sequences: none fails the service."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import GenerationMode

from fixtures.shop import Shop
from kaleidobert.server.app import ServerSettings, create_app
from kaleidobert.server.auth import Tokens

TOKEN = "0123456789abcdef"
BEARER = {"authorization": f"Bearer {TOKEN}"}
CHECKS = list(HealthCheck)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Any:
    """The description of a service on a shop of its own, which may be written to."""
    shop = Shop(str(tmp_path_factory.mktemp("described") / "store"), model_folder)
    shop.indexer().index(shop.products)
    app = create_app(shop.ranker(), ServerSettings(Tokens([TOKEN])))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_fails_the_service(described: Any, mode: GenerationMode) -> None:
    operations = [each.ok() for each in described.get_all_operations()]
    assert {each.label for each in operations} >= {"POST /api/search", "PUT /api/products"}
    if mode is GenerationMode.NEGATIVE:  # nothing is invalid without parameters
        operations = [each for each in operations if [*each.body, *each.query]]
    for operation in operations:

        @settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=CHECKS)
        @given(case=operation.as_strategy(mode))
        def check(case: schemathesis.Case) -> None:
            response = case.call(headers=BEARER)
            assert response.status_code < 500, (case.as_curl_command(), response.text)

        check()


def test_no_sequence_of_requests_fails_the_service(described: Any) -> None:
    class Sequence(described.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:  # noqa: ARG002
            return {"headers": BEARER}

        def validate_response(self, response: Any, case: schemathesis.Case, **_: Any) -> None:
            assert response.status_code < 500, (case.as_curl_command(), response.text)

    run_state_machine_as_test(
        Sequence,
        settings=settings(max_examples=5, stateful_step_count=8, deadline=None, suppress_health_check=CHECKS),
    )
