"""Where an endpoint may be, and the signed request to it. Knows no model.

Other systems stand in private networks too, so private addresses are allowed. Link-local ones are
not: there the machines of a cloud give out their credentials to whoever asks.
"""

import socket
import time
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

import httpx
from django.conf import settings

from comments.http import Answer, FetchError, NeverSentError, request
from dmtrigger.signing import BadSecret, signed_headers

POST_SECONDS = 10.0  # for the whole call, whatever the receiver does
MOST_ANSWER_BYTES = 64 * 1024  # nobody reads it; more is no answer to a webhook
REFUSED_NETWORKS = tuple(
    ip_network(network) for network in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")
)


class NotAllowed(NeverSentError):
    """Nothing is sent to this address; the text says why."""


class Reply(NamedTuple):
    """What came of a request."""

    status: int | None
    """None where there was no answer."""
    error: str = ""
    """Why it counts as failed, for people; empty if it was taken."""


def check_url(url: str) -> None:
    """Raise NotAllowed for an address to which nothing may be sent in the clear, or at all.

    What a name stands for can change, so that is asked at each request (`post`).
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise NotAllowed(f"it is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.host:
        raise NotAllowed("it must begin with https://")
    if parts.scheme == "http" and not settings.DEBUG and not _is_loopback(parts.host):
        raise NotAllowed("it must be https, unless it is on this machine")
    if parts.userinfo:
        raise NotAllowed("it must have no password in it: the signature says who calls")
    if (literal := _literal(parts.host)) is not None:
        _check_address(literal)


def post(url: str, secret: str, event_id: str, body: str) -> Reply:
    """Send a signed request; a 2xx means that it was taken. Raises nothing."""
    try:
        answer = send_signed(url, secret, event_id, body, seconds=POST_SECONDS)
    except (BadSecret, FetchError) as error:
        return Reply(None, str(error))
    return Reply(answer.status, "" if answer.is_success else f"HTTP {answer.status}")


def send_signed(url: str, secret: str, event_id: str, body: str, *, seconds: float) -> Answer:
    """The answer to a signed request. Raises BadSecret, NotAllowed, and what `request` raises.

    The host's addresses are asked in turn, until one can be reached. The connection is made to the
    address that was checked, not to the name: that could stand for another one a moment later.
    """
    deadline = time.monotonic() + seconds
    check_url(url)
    headers = {"Content-Type": "application/json"} | signed_headers(secret, event_id, body)
    place = httpx.URL(url)
    problem = NeverSentError("the host has no address")
    for address in _addresses(place):
        try:
            return request(
                "POST",
                str(place.copy_with(host=address)),
                seconds=deadline - time.monotonic(),
                most_bytes=MOST_ANSWER_BYTES,
                content=body,
                headers=headers | {"Host": place.netloc.decode()},
                extensions={"sni_hostname": place.host},  # whose certificate is checked
            )
        except NeverSentError as error:
            problem = error
    raise problem


def _addresses(url: httpx.URL) -> list[str]:
    """What the host's name stands for now. Raises NotAllowed if any of it is refused."""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NeverSentError(f"the host is not known: {error}") from error
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for address in addresses:
        _check_address(ip_address(address.partition("%")[0]))
    return addresses


def _check_address(address: IPv4Address | IPv6Address) -> None:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in REFUSED_NETWORKS):
        raise NotAllowed(f"{address} is a link-local address: nothing is sent there")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    literal = _literal(host)
    return host == "localhost" if literal is None else literal.is_loopback
