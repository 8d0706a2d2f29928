"""Files of any usual format, dialect and encoding -> a header and rows of text cells."""
