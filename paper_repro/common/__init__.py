"""What the rooms above share: data, queries held out with their strategies and curves, tables, figures, Markdown.

Code here reads recorded data and the package; it writes nothing but the figure or text that it is asked for, and
imports no other room.
"""
