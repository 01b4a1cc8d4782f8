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


def properties(schema, name):
    return schema["components"]["schemas"][name]["properties"]


def answer_of(schema, path, method):
    """Where the schema of a call's 200 lies, or what it is."""
    response = schema["paths"][path][method]["responses"]["200"]
    return response["content"]["application/json"]["schema"]


def test_the_funnel_is_one_object_and_no_list(staff):
    schema = staff.get("/api/schema", {"format": "json"}).json()
    assert answer_of(schema, "/api/v1/funnel", "get") == {"$ref": "#/components/schemas/Funnel"}


def test_who_erases_a_person_is_answered_with_a_body(staff):
    schema = staff.get("/api/schema", {"format": "json"}).json()
    path = "/api/v1/people/{source}/{name}/data"
    assert answer_of(schema, path, "delete")["type"] == "object"
    assert "204" not in schema["paths"][path]["delete"]["responses"]


def test_a_review_may_have_no_decider_and_no_evidence(staff):
    schema = staff.get("/api/schema", {"format": "json"}).json()
    assert properties(schema, "Review")["decided_by"]["type"] == ["string", "null"]
    evidence = properties(schema, "IntentResult")["evidence"]
    assert evidence["type"] == ["object", "null"]
    assert set(evidence["properties"]) == {"words", "nearest"}


def test_what_must_not_be_empty_has_a_least_length(staff):
    schema = staff.get("/api/schema", {"format": "json"}).json()
    for name, fields in {
        "ProcessRequest": ["post_id"],
        "Item": ["id", "text", "author"],
        "StartMonitor": ["post_id", "source"],
        "NewOptOut": ["source", "name"],
    }.items():
        assert [properties(schema, name)[field]["minLength"] for field in fields] == [1] * len(
            fields
        )


def test_account_and_comments_of_a_batch_may_be_null(staff):
    schema = staff.get("/api/schema", {"format": "json"}).json()
    batch = properties(schema, "ProcessRequest")
    assert batch["account"]["type"] == ["string", "null"]
    assert batch["comments"]["type"] == ["array", "null"]


def test_the_schema_says_what_a_key_and_a_limit_may_be(staff):
    paths = staff.get("/api/schema", {"format": "json"}).json()["paths"]
    [key] = paths["/api/v1/opt-outs"]["post"]["parameters"]
    assert key["schema"]["pattern"] == "^[!-~]{1,255}$"
    parameters = paths["/api/v1/messages"]["get"]["parameters"]
    [limit] = [each["schema"] for each in parameters if each["name"] == "limit"]
    assert limit == {"type": "integer", "minimum": 1, "default": 50}


def test_the_documents_page_loads_nothing_from_elsewhere(staff):
    html = staff.get("/api/docs/").content.decode()
    assert "swagger-ui" in html
    assert "https://" not in html
