# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make client-check` asks of the built client in an empty environment: `client_wheel.py bare|numpy|pandas`.

Nothing but the wheel and its dependencies is there, so nothing of pytest's either.
"""

import importlib.util
import sys
from importlib.resources import files

from orrery.inference import InferenceClient, v1
from orrery.inference.tables import table_of

COLUMNS = {
    "epoch_tdb_jd": [2461000.5],
    "eccentricity": [0.1, 0.2],
    "inclination_deg": [2.0, 3.0],
    "longitude_of_ascending_node_deg": [10.0, 20.0],
    "argument_of_perihelion_deg": [30.0, 40.0],
    "semi_major_axis_au": [1.1, 1.2],
}


def main(extra):
    present = [name for name in ("numpy", "pandas") if importlib.util.find_spec(name)]
    assert present == {"bare": [], "numpy": ["numpy"], "pandas": ["numpy", "pandas"]}[extra], present
    assert files("orrery.inference").joinpath("py.typed").is_file()
    message = v1.OrbitColumns(**COLUMNS)
    assert table_of(message).part(slice(1, 2)).eccentricity == [0.2]
    with InferenceClient() as client:
        if extra == "bare":
            try:
                client.predict_columns(COLUMNS)
            except ModuleNotFoundError as missing:
                assert "pip install 'orrery-inference-client[numpy]'" in str(missing)
            else:
                raise AssertionError("columns without numpy")
    if extra != "bare":
        assert table_of(COLUMNS).part(slice(0, 2)) == message
        assert "pandas" not in sys.modules
    if extra == "pandas":
        import pandas as pd

        assert table_of(pd.DataFrame(COLUMNS | {"epoch_tdb_jd": 2461000.5})).rows == 2
    print(f"{extra}: {v1.PredictRequest.DESCRIPTOR.full_name} and all that should be there")


if __name__ == "__main__":
    main(*sys.argv[1:])
