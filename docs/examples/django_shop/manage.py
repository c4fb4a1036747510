"""A Django project on Warren.

pip install warren-backend django
export AMQP_URL=amqp://guest:guest@localhost/%2F
python manage.py migrate
python manage.py runserver
python manage.py serve_warren

curl -X POST localhost:8000/orders/ -d user=ann -d number=7
"""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
