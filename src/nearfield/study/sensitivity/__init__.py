"""How far an embedding moves when one property of the sound is changed."""

from nearfield.study.sensitivity.measure import Sensitivity, draw_sounds, measure_sensitivity
from nearfield.study.sensitivity.versions import Progress, Recipe, Sound

__all__ = ["Progress", "Recipe", "Sensitivity", "Sound", "draw_sounds", "measure_sensitivity"]
