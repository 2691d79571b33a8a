"""A room for what is run, each with the name of its stage; parts/ for what is imported."""

from stages.parts import machine

machine.pin()
