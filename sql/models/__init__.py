"""Every table; importing this package makes them all known to `Base.metadata`."""

from sql.models.audit import AuditEntry
from sql.models.base import Base
from sql.models.calls import CallLeg, CallOrder, CallRecord, Recording, WrapUpDraft
from sql.models.cases import CaseDraft, EmergencyCase
from sql.models.elders import ContactPhone, Elder, ElderContact, ElderPhone, Terminal
from sql.models.menus import MenuRow
from sql.models.orders import ServiceRequest, WorkOrder
from sql.models.people import DeskSession, Seat, Site, User
from sql.models.plans import PlanVersion
from sql.models.processes import Alarm, Case, Journal, Number, Outbox, Timer

__all__ = [
    "Alarm", "AuditEntry", "Base", "CallLeg", "CallOrder", "CallRecord", "Case", "CaseDraft",
    "ContactPhone", "DeskSession", "Elder", "ElderContact", "ElderPhone", "EmergencyCase",
    "Journal", "MenuRow", "Number", "Outbox", "PlanVersion", "Recording", "Seat", "ServiceRequest",
    "Site", "Terminal", "Timer", "User", "WorkOrder", "WrapUpDraft",
]  # fmt: skip
