import os

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    time_cost, memory_cost, parallelism = map(int, os.environ["ARGON2"].split(","))
