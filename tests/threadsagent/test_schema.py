"""The OpenAPI document and its page."""

import pytest

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(admin_client):
    return admin_client


def test_the_schema_has_the_specs_call_with_its_example(staff):
    schema = staff.get("/api/schema", {"format": "json"}).json()
    assert schema["openapi"].startswith("3.1")
    body = schema["paths"]["/api/v1/comments/process"]["post"]["requestBody"]["content"]
    example = body["application/json"]["examples"]["ABatchOfOne"]["value"]
    assert example["comments"][0]["text"] == "Love this product! Where can I buy it?"


def test_the_schema_has_each_call_once_by_its_path_with_the_version(staff):
    schema = staff.get("/api/schema", {"format": "json"}).json()
    assert all(path.startswith("/api/v1/") for path in schema["paths"])
    names = {
        operation["operationId"]: operation["tags"]
        for path in schema["paths"].values()
        for operation in path.values()
    }
    assert names["comments_process_create"] == ["comments"]
    assert names["people_data_retrieve"] == ["people"]
    assert len(names) == sum(map(len, schema["paths"].values()))


def test_the_schema_says_that_every_error_is_a_problem(staff):
    schema = staff.get("/api/schema", {"format": "json"}).json()
    problem = {"$ref": "#/components/schemas/Problem"}
    [body] = schema["components"]["responses"]["Problem"]["content"].items()
    assert body == ("application/problem+json", {"schema": problem})
    for path in schema["paths"].values():
        for operation in path.values():
            assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}


def test_every_post_but_those_of_batches_takes_an_idempotency_key(staff):
    schema = staff.get("/api/schema", {"format": "json"}).json()
    without = set()
    for path, operations in schema["paths"].items():
        parameters = operations.get("post", {}).get("parameters", [])
        if "post" in operations and "Idempotency-Key" not in [each["name"] for each in parameters]:
            without.add(path)
    assert without == {"/api/v1/comments/process", "/api/v1/conversions"}


def test_the_specs_own_error_stands_beside_the_problem(staff):
    schema = staff.get("/api/schema", {"format": "json"}).json()
    responses = schema["paths"]["/api/v1/comments/process"]["post"]["responses"]
    kinds = {kind: body["schema"]["$ref"] for kind, body in responses["400"]["content"].items()}
    assert kinds == {
        "application/json": "#/components/schemas/ProcessResponse",
        "application/problem+json": "#/components/schemas/Problem",
    }


def test_the_documents_page_loads_nothing_from_elsewhere(staff):
    html = staff.get("/api/docs/").content.decode()
    assert "swagger-ui" in html
    assert "https://" not in html
