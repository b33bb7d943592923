# SPDX-License-Identifier: GPL-3.0-or-later
"""Large questions are divided, and all of them together have so many parts under way."""

import asyncio

import numpy as np

from gateway.front.judging import Judges
from gateway.front.tf_serving import Answer
from gateway.front.tuning import Tuning
from gateway.serving.turns import Turns

TUNING = Tuning(column_part_rows=1_000, column_parts_under_way=3)


class SlowModels:
    """Answers after some turns of the loop, and notes how many questions it has at a time."""

    def __init__(self):
        self.under_way = self.most = self.asked = 0

    def ask(self, *question, **budget):
        assert budget["timeout"] == 60.0
        self.under_way += 1
        self.asked += 1
        self.most = max(self.most, self.under_way)
        return Slow(self, len(question[1]["orbits"]))


class Slow:
    def __init__(self, models, rows):
        self._models, self._rows = models, rows

    async def answer(self):
        await asyncio.sleep(0.005)
        self._models.under_way -= 1
        outputs = {
            "pha_probability": np.zeros(self._rows),
            "potentially_hazardous": np.zeros(self._rows, np.bool_),
            "class_probabilities": np.full((self._rows, 4), 0.25),
        }
        return Answer(outputs, 1)

    def cancel(self):
        """It is never asked in vain here."""


async def test_many_large_questions_share_the_places_of_one():
    models = SlowModels()
    with Turns(1, name="test") as turns:
        judges = Judges(models, turns, TUNING)
        rows = np.tile([0.9, 0.2, 5.0, 10.0, 20.0, 18.0, 2461000.5], (5_000, 1))
        answers = await asyncio.gather(
            *(judges.judge(b"", rows, {"timeout": 60.0}, definition=False) for _ in range(4))
        )
    assert [len(answer.pha_probability) for answer in answers] == [5_000] * 4
    assert models.asked == 20
    assert models.most == TUNING.column_parts_under_way
