"""When a message may leave: delay and quiet hours. Pure; knows no model."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError


def check_time_zone(name: str) -> None:
    """A validator: the name of a time zone that there is, such as Europe/Berlin."""
    if name not in available_timezones():
        raise ValidationError(f"{name} is no time zone; one is Europe/Berlin")


def earliest(
    now: datetime,
    delay: timedelta,
    quiet_from: time | None,
    quiet_until: time | None,
    time_zone: str,
) -> datetime:
    """The first moment from `now + delay` on that is outside the quiet hours (aware, UTC).

    Quiet hours go over midnight when they begin later than they end. In a night in which clocks
    change, their end is that of the clock on the wall.
    """
    moment = now + delay
    if quiet_from is None or quiet_until is None:
        return moment
    local = moment.astimezone(ZoneInfo(time_zone))
    clock = local.time()
    if quiet_from < quiet_until:
        quiet = quiet_from <= clock < quiet_until
        day = local.date()
    else:
        quiet = clock >= quiet_from or clock < quiet_until
        day = local.date() + timedelta(days=1) if clock >= quiet_from else local.date()
    if not quiet:
        return moment
    end = datetime.combine(day, quiet_until, ZoneInfo(time_zone))
    return end.astimezone(now.tzinfo)
