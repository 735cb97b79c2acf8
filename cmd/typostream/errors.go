package main

import (
	"errors"
	"fmt"
)

// usageError is a fault of the command line, the configuration or an argument;
// the command ends with exit code 2.
type usageError struct {
	err  error
	hint string
}

func usagef(hint, format string, args ...any) *usageError {
	return &usageError{err: fmt.Errorf(format, args...), hint: hint}
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Hint falls back to the cause's own.
func (e *usageError) Hint() string {
	var cause interface{ Hint() string }
	if e.hint == "" && errors.As(e.err, &cause) {
		return cause.Hint()
	}
	return e.hint
}

// incompleteError ends a command that did its work, but not all of it, with
// exit code 3.
type incompleteError struct{ what string }

func (e *incompleteError) Error() string { return e.what }

// hintedError is a failure and what to do about it.
type hintedError struct {
	err  error
	hint string
}

func hinted(err error, hint string) error { return &hintedError{err, hint} }

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }
func (e *hintedError) Hint() string  { return e.hint }
