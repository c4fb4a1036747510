"""Orders, users' visits, and the events that were handled already."""

from django.db import models


class Order(models.Model):
    number = models.IntegerField(unique=True)
    user = models.CharField(max_length=127)


class Visit(models.Model):
    user = models.CharField(max_length=127, unique=True)
    visits = models.IntegerField(default=0)


class Handled(models.Model):
    """An event that was counted; it stands in the same transaction as what it has changed."""

    key = models.CharField(max_length=255, primary_key=True)
