import asyncio

from llmapp.costs.paying import Payer, paid_by, payer
from llmapp.types import Principal

ANNA = Principal("anna", groups=("hr", "staff"), tenant="acme")


def test_a_call_counts_for_the_application_when_nobody_says_who_pays():
    assert payer().accounts == ("application",)


def test_a_question_counts_for_the_user_each_group_the_tenant_and_itself():
    who = Payer(key="intranet").asking(ANNA)
    request = f"request:{who.request}"
    expected = ("application", "group:hr", "group:staff", "key:intranet", request, "tenant:acme", "user:anna")
    assert who.accounts == tuple(sorted(expected))


def test_a_question_within_a_piece_of_work_is_a_part_of_it():
    work = Payer(request="task-7")
    assert work.asking(ANNA).asking(ANNA).request == "task-7"
    assert Payer().asking(ANNA).request != Payer().asking(ANNA).request


async def test_tasks_and_threads_that_are_begun_within_know_who_pays():
    with paid_by(Payer(user="anna")):
        found = await asyncio.gather(asyncio.to_thread(payer), asyncio.create_task(asyncio.to_thread(payer)))
    assert {who.user for who in found} == {"anna"}
    assert payer().user is None
