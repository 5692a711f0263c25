"""A store of its own experiment for every test, so that none sees another's runs."""

from uuid import uuid4

import pytest
import streamlit as st

from components.core.settings import settings
from components.core.tracking.client import client


@pytest.fixture
def mlflow(home, monkeypatch):
    monkeypatch.setenv("BLOOMERY_EXPERIMENT", f"dashboard-{uuid4().hex[:8]}")
    settings.cache_clear()
    st.cache_data.clear()
    mlflow = client()
    for model in mlflow.search_registered_models():  # the tests of one process share a registry
        mlflow.delete_registered_model(model.name)
    return mlflow
