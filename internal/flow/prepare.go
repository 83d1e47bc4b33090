package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

// retention is how long closed workflows can be looked at, where Prepare makes the namespace.
const retention = 72 * time.Hour

// Prepare makes the namespace and its search attributes where they are missing. On
// Temporal Cloud they are made outside, and Prepare finds them there.
func Prepare(ctx context.Context, c client.Client, namespace string) error {
	_, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	var missing *serviceerror.NamespaceNotFound
	if errors.As(err, &missing) || isNotFound(err) {
		_, err = c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace: namespace, Description: "Mailtura", WorkflowExecutionRetentionPeriod: durationpb.New(retention),
		})
	}
	var exists *serviceerror.NamespaceAlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("register namespace: %w", err)
	}
	return prepareSearchAttributes(ctx, c, namespace)
}

func prepareSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	for {
		list, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
		if err == nil {
			add := &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: map[string]enums.IndexedValueType{}}
			for name, kind := range SearchAttributes {
				if _, there := list.GetCustomAttributes()[name]; !there {
					add.SearchAttributes[name] = kind
				}
			}
			if len(add.SearchAttributes) == 0 {
				return nil
			}
			_, err = c.OperatorService().AddSearchAttributes(ctx, add)
		}
		if err == nil {
			return nil
		}
		var missing *serviceerror.NamespaceNotFound // a new namespace needs seconds to be known everywhere
		if !errors.As(err, &missing) {
			return fmt.Errorf("add search attributes: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("add search attributes: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
