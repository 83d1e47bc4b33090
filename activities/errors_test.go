package activities

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/internal/fault"
)

func TestActivityError_Retryable(t *testing.T) {
	t.Parallel()
	for kind, retryable := range map[fault.Kind]bool{
		fault.Internal: true, fault.Unavailable: true, fault.Exhausted: true, fault.Conflict: true,
		fault.Invalid: false, fault.NotFound: false,
	} {
		err := activityError(fmt.Errorf("load: %w", fault.New(kind, "some_code", "detail")))
		var failure *temporal.ApplicationError
		require.ErrorAs(t, err, &failure)
		require.Equal(t, "some_code", failure.Type())
		require.Equal(t, retryable, !failure.NonRetryable(), "kind %d", kind)
	}
}

func TestActivityError_OfNoFault(t *testing.T) {
	t.Parallel()
	cause := errors.New("driver: secret text")
	err := activityError(cause)
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "internal", failure.Type())
	require.False(t, failure.NonRetryable())
	require.Equal(t, "activity failed", failure.Message())
	require.ErrorIs(t, err, cause)
}

func TestPublicText(t *testing.T) {
	t.Parallel()
	of := fault.InvalidFields(fault.Field{Location: "body.text", Message: "no such helper"})
	for want, err := range map[string]error{
		"The message could not be composed.":                            errors.New("driver: secret text"),
		"The request has 1 invalid value(s). body.text: no such helper": fmt.Errorf("render: %w", of),
	} {
		require.Equal(t, want, publicText(err))
	}
	require.Equal(t, "The message could not be composed.", publicText(fault.New(fault.Internal, "internal", "private")))
}
