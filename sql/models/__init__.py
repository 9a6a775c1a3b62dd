"""Every table; importing this package makes them all known to `Base.metadata`."""

from sql.models.base import Base
from sql.models.calls import CallLeg, CallOrder, CallRecord, Recording
from sql.models.elders import Elder, ElderPhone
from sql.models.orders import ServiceRequest, WorkOrder
from sql.models.people import DeskSession, Seat, Site, User
from sql.models.processes import Alarm, Case, Journal, Number, Outbox, Timer

__all__ = [
    "Alarm", "Base", "CallLeg", "CallOrder", "CallRecord", "Case", "DeskSession", "Elder",
    "ElderPhone", "Journal", "Number", "Outbox", "Recording", "Seat", "ServiceRequest", "Site",
    "Timer", "User", "WorkOrder",
]  # fmt: skip
