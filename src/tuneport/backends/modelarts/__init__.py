"""Huawei ModelArts."""
