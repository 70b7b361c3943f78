"""Areas of the Earth in filters: a circle around a position, and a box of degrees."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from lookalike.errors import FilterError

EARTH_RADIUS = 6_371_008.8
"""Metres; the mean radius of the International Union of Geodesy and Geophysics."""

AREAS = {
    "near": "latitude, longitude and distance, as near=48.137,11.575,10km",
    "box": "south, west, north and east in degrees, as box=47.9,11.3,48.3,11.9",
}
"""Conditions on both `latitude` and `longitude`, and what their values are."""

_METRES = {"m": 1.0, "km": 1_000.0, "mi": 1_609.344, "": 1_000.0}
_DISTANCE = re.compile(r"(.*?)\s*(km|mi|m|)", re.DOTALL)
_SLACK = 1e-6  # degrees, for rounding


class Circle(NamedTuple):
    """All within a distance, in metres along the ground, of a position in degrees."""

    latitude: float
    longitude: float
    metres: float


class Box(NamedTuple):
    """All between two latitudes and two longitudes, edges included; a west above the east goes over 180°."""

    south: float
    west: float
    north: float
    east: float


Area: TypeAlias = Circle | Box


@lru_cache(64)
def area(kind: str, text: str) -> Area:
    """Read the value of a condition on an area.

    Args:
        kind: `near` or `box`.
        text: its value.

    Raises:
        FilterError: it can't be read, or there is no such place.
    """
    parts = text.split(",")
    if kind == "near" and len(parts) == 3:
        found = _DISTANCE.fullmatch(parts[2].strip())
        distance = (_number(found[1]) * _METRES[found[2]]) if found else math.nan
        circle = Circle(_number(parts[0]), _number(parts[1]), distance)
        if _is_place(*circle[:2]) and circle.metres >= 0:
            return circle
    if kind == "box" and len(parts) == 4:
        box = Box(*map(_number, parts))
        if _is_place(*box[:2]) and _is_place(*box[2:]) and box.south <= box.north:
            return box
    raise FilterError(f"can't read the filter {kind}={text}: expected {AREAS[kind]}.")


def contains(where: Area, latitude: Any, longitude: Any) -> bool:
    """Whether a position in degrees lies in an area; what is no position lies in none."""
    if not is_position(latitude, longitude):
        return False
    if isinstance(where, Circle):
        return distance(where.latitude, where.longitude, latitude, longitude) <= where.metres
    inside = where.west <= longitude <= where.east
    if where.west > where.east:
        inside = longitude >= where.west or longitude <= where.east
    return bool(inside and where.south <= latitude <= where.north)


def is_position(latitude: Any, longitude: Any) -> bool:
    """Whether two values are the latitude and longitude of a position in degrees."""
    numbers = isinstance(latitude, int | float) and isinstance(longitude, int | float)
    return bool(numbers and _is_place(latitude, longitude))


def distance(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Metres between two positions in degrees, along the ground of a ball (haversine)."""
    north, other_north = math.radians(latitude), math.radians(other_latitude)
    up = math.sin((other_north - north) / 2) ** 2
    across = math.sin(math.radians(other_longitude - longitude) / 2) ** 2
    half = min(1.0, up + math.cos(north) * math.cos(other_north) * across)
    return 2 * EARTH_RADIUS * math.asin(math.sqrt(half))


def bounds(where: Area) -> Box:
    """A box that has all of an area in it."""
    if isinstance(where, Box):
        return where
    reach = where.metres / EARTH_RADIUS
    south = where.latitude - math.degrees(reach) - _SLACK
    north = where.latitude + math.degrees(reach) + _SLACK
    if south <= -90 or north >= 90:  # with a pole in it, every longitude is
        return Box(max(south, -90.0), -180.0, min(north, 90.0), 180.0)
    across = math.degrees(math.asin(min(1.0, math.sin(reach) / math.cos(math.radians(where.latitude)))))
    west, east = where.longitude - across - _SLACK, where.longitude + across + _SLACK
    return Box(south, west + 360 if west < -180 else west, north, east - 360 if east > 180 else east)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _is_place(latitude: float, longitude: float) -> bool:
    return -90 <= latitude <= 90 and -180 <= longitude <= 180
