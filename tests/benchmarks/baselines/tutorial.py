"""The tutorial recipe: Flask-Smorest, Flask-JWT-Extended, Flask-SQLAlchemy, and a blocklist in Redis.

Written as the well-known courses and Flask-JWT-Extended's own pages write it ("Blocklist and Token Revoking", "Automatic User
Loading", "Refreshing Tokens"): one secret, the person loaded by the ORM at every request, refresh answers an access token and
leaves the refresh token as it was. `/refresh-once` is the stricter variant: the refresh token is blocked and a new one answered.

Settings: DATABASE_URL, REDIS_URL, and ARGON2 ("passes,KiB,lanes").
"""

import os
from datetime import timedelta
from typing import Any

import redis
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from flask import Flask
from flask.views import MethodView
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    current_user,
    get_jwt,
    get_jwt_identity,
    jwt_required,
)
from flask_smorest import Api, Blueprint, abort
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields
from sqlalchemy.exc import SQLAlchemyError

ACCESS_EXPIRES, REFRESH_EXPIRES = timedelta(minutes=15), timedelta(days=7)

db = SQLAlchemy()
jwt = JWTManager()
blp = Blueprint("Users", "users", description="Operations on users")


class UserModel(db.Model):  # type: ignore[name-defined, misc]
    __tablename__ = "users"

    id = db.Column(db.Integer, primary_key=True)
    username = db.Column(db.String(80), unique=True, nullable=False)
    password = db.Column(db.String(256), nullable=False)


class UserSchema(Schema):
    id = fields.Int(dump_only=True)
    username = fields.Str(required=True)
    password = fields.Str(required=True, load_only=True)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["API_TITLE"] = "Users REST API"
    app.config["API_VERSION"] = "v1"
    app.config["OPENAPI_VERSION"] = "3.0.3"
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    # A favour: the default pool would open and close connections as soon as more than five threads ask.
    if not app.config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite"):
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 20}
    app.config["JWT_SECRET_KEY"] = "a-secret-of-thirty-two-bytes-or-more"
    app.config["JWT_ACCESS_TOKEN_EXPIRES"] = ACCESS_EXPIRES
    app.config["JWT_REFRESH_TOKEN_EXPIRES"] = REFRESH_EXPIRES
    passes, kib, lanes = map(int, os.environ["ARGON2"].split(","))
    app.extensions["hasher"] = PasswordHasher(time_cost=passes, memory_cost=kib, parallelism=lanes)
    app.extensions["blocklist"] = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    db.init_app(app)
    jwt.init_app(app)
    with app.app_context():
        db.create_all()
    Api(app).register_blueprint(blp)
    return app


def hasher() -> PasswordHasher:
    from flask import current_app

    found: PasswordHasher = current_app.extensions["hasher"]
    return found


def blocklist() -> Any:
    from flask import current_app

    return current_app.extensions["blocklist"]


@jwt.token_in_blocklist_loader
def check_if_token_is_revoked(_: dict[str, Any], jwt_payload: dict[str, Any]) -> bool:
    return blocklist().get(jwt_payload["jti"]) is not None


@jwt.user_lookup_loader
def load_user(_: dict[str, Any], jwt_payload: dict[str, Any]) -> UserModel | None:
    return UserModel.query.filter_by(id=int(jwt_payload["sub"])).one_or_none()


@blp.route("/register")
class UserRegister(MethodView):
    @blp.arguments(UserSchema)
    @blp.response(201, UserSchema)
    def post(self, user_data: dict[str, str]) -> UserModel:
        if UserModel.query.filter(UserModel.username == user_data["username"]).first():
            abort(409, message="A user with that username already exists.")
        user = UserModel(username=user_data["username"], password=hasher().hash(user_data["password"]))
        try:
            db.session.add(user)
            db.session.commit()
        except SQLAlchemyError:
            abort(500, message="An error occurred while creating the user.")
        return user


@blp.route("/login")
class UserLogin(MethodView):
    @blp.arguments(UserSchema)
    def post(self, user_data: dict[str, str]) -> dict[str, str]:
        user = UserModel.query.filter(UserModel.username == user_data["username"]).first()
        if user is None or not matches(user.password, user_data["password"]):
            abort(401, message="Invalid credentials.")
        return {
            "access_token": create_access_token(identity=str(user.id), fresh=True),
            "refresh_token": create_refresh_token(identity=str(user.id)),
        }


def matches(stored: str, password: str) -> bool:
    try:
        return hasher().verify(stored, password)
    except VerifyMismatchError:
        return False


@blp.route("/refresh")
class TokenRefresh(MethodView):
    @jwt_required(refresh=True)
    def post(self) -> dict[str, str]:
        return {"access_token": create_access_token(identity=get_jwt_identity(), fresh=False)}


@blp.route("/refresh-once")
class TokenRefreshOnce(MethodView):
    @jwt_required(refresh=True)
    def post(self) -> dict[str, str]:
        blocklist().set(get_jwt()["jti"], "", ex=REFRESH_EXPIRES)
        identity = get_jwt_identity()
        return {
            "access_token": create_access_token(identity=identity, fresh=False),
            "refresh_token": create_refresh_token(identity=identity),
        }


@blp.route("/logout")
class UserLogout(MethodView):
    @jwt_required()
    def delete(self) -> dict[str, str]:
        blocklist().set(get_jwt()["jti"], "", ex=ACCESS_EXPIRES)
        return {"message": "Access token revoked"}


@blp.route("/me")
class Me(MethodView):
    @jwt_required()
    @blp.response(200, UserSchema)
    def get(self) -> UserModel:
        return current_user
