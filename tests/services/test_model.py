"""Random programs on the services, compared step by step with the model, and afterwards through time."""

import pytest

from app.domain.model import Actor, Plan
from app.services import projects
from tests.services.comparing import ComparedProgram
from tests.services.invariants import check_invariants


async def _run(seed: int, actor: Actor, steps: int) -> None:
    project = await projects.create(actor, f"Model {seed}", Plan.PREMIUM)
    program = ComparedProgram(seed, actor, project.id, project.production_uuid)
    await program.begin()
    done: list[str] = []
    try:
        for _ in range(steps):
            done.append(await program.step())
            await program.compare()
        await program.compare_past()
        await check_invariants(project.id)
    except BaseException as error:
        error.add_note(f"seed {seed}, after {', '.join(done)}")
        raise


@pytest.mark.parametrize("seed", range(20))
async def test_programs(seed: int, actor: Actor) -> None:
    await _run(seed, actor, 25)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_080))
async def test_more_programs(seed: int, actor: Actor) -> None:
    await _run(seed, actor, 25)
