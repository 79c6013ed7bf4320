"""The sample generator: marketplace exports of a world whose truth is known."""
