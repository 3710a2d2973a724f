"""Contains all the data models used in inputs/outputs"""

from .admin_user import AdminUser
from .alive import Alive
from .config import Config
from .cookie_names import CookieNames
from .email_request import EmailRequest
from .email_verification import EmailVerification
from .event import Event
from .event_page import EventPage
from .features import Features
from .input_error import InputError
from .jwk import Jwk
from .jwks import Jwks
from .login_request import LoginRequest
from .mailed_token import MailedToken
from .mailed_token_request import MailedTokenRequest
from .metadata import Metadata
from .new_user import NewUser
from .password_change import PasswordChange
from .password_policy import PasswordPolicy
from .password_reset import PasswordReset
from .problem import Problem
from .problem_type import ProblemType
from .problem_types import ProblemTypes
from .profile_change import ProfileChange
from .rate_limit import RateLimit
from .ready import Ready
from .reauthenticate_request import ReauthenticateRequest
from .register_request import RegisterRequest
from .roles_request import RolesRequest
from .session import Session
from .session_page import SessionPage
from .suspension import Suspension
from .suspension_request import SuspensionRequest
from .token_lifetimes import TokenLifetimes
from .token_pair import TokenPair
from .user import User
from .user_change import UserChange
from .user_page import UserPage
from .who_am_i import WhoAmI

__all__ = (
    "AdminUser",
    "Alive",
    "Config",
    "CookieNames",
    "EmailRequest",
    "EmailVerification",
    "Event",
    "EventPage",
    "Features",
    "InputError",
    "Jwk",
    "Jwks",
    "LoginRequest",
    "MailedToken",
    "MailedTokenRequest",
    "Metadata",
    "NewUser",
    "PasswordChange",
    "PasswordPolicy",
    "PasswordReset",
    "Problem",
    "ProblemType",
    "ProblemTypes",
    "ProfileChange",
    "RateLimit",
    "Ready",
    "ReauthenticateRequest",
    "RegisterRequest",
    "RolesRequest",
    "Session",
    "SessionPage",
    "Suspension",
    "SuspensionRequest",
    "TokenLifetimes",
    "TokenPair",
    "User",
    "UserChange",
    "UserPage",
    "WhoAmI",
)
