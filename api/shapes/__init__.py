"""The shapes of answers, a module for each chapter. The OpenAPI document is made from the same declarations.

Money is US dollars as text with nine decimal places, so that no reader loses a digit. What a viewer may not see is
absent, neither null nor zero.
"""
