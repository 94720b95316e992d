from llmapp.server.schemas import AnswerBody, HitsBody


def test_a_question_is_answered_with_citations_in_the_documented_shape(client):
    response = client.post("/api/ask", json={"question": "How many days of leave do I have?"})
    assert response.status_code == 200
    answer = AnswerBody.model_validate(response.json())
    assert answer.answer == "Every employee has 28 days of paid leave a year [1]."
    assert answer.citations[0].quote == "Every employee has 28 days of paid leave a year."
    assert answer.citations[0].uri.endswith("leave.txt")
    assert answer.usage.output_tokens == 20
