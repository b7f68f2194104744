"""The records, layouts and limits that all parts of Tallyhouse exchange. Imports no other package of Tallyhouse."""
