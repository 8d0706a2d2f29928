"""The demo page of the champion."""
