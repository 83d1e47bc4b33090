package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
)

func TestError_KeepsPublicAndPrivateApart(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("load email: %w", fault.Wrap(io.ErrUnexpectedEOF, fault.NotFound, "email_not_found", "No email %q.", "msg_1"))

	f, ok := fault.As(err)
	require.True(t, ok)
	require.Equal(t, `No email "msg_1".`, f.Detail)
	require.NotContains(t, f.Detail, "EOF")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	require.Equal(t, "email_not_found", fault.CodeOf(err))
	require.Equal(t, `load email: email_not_found: No email "msg_1".: unexpected EOF`, err.Error())
}

func TestKindOf_UnclassifiedIsInternal(t *testing.T) {
	t.Parallel()
	require.Equal(t, fault.Internal, fault.KindOf(errors.New("boom")))
	require.Equal(t, "internal", fault.CodeOf(errors.New("boom")))
}

func TestInvalidFields_CarriesEach(t *testing.T) {
	t.Parallel()
	f := fault.InvalidFields(fault.Field{Location: "body.to[0]", Message: "no domain", Code: "invalid_address"})
	require.Equal(t, fault.Invalid, f.Kind)
	require.Equal(t, "validation_failed", f.Code)
	require.Len(t, f.Fields, 1)
}
