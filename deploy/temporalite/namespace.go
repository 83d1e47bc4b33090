package main

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
	"go.temporal.io/sdk/log"
	"google.golang.org/protobuf/types/known/durationpb"
)

// prepareNamespace makes the namespace and its search attributes where they are missing,
// and returns when both can be used.
func prepareNamespace(ctx context.Context, f flags, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	types := map[string]enums.IndexedValueType{}
	for name, text := range f.SearchAttributes {
		kind, err := enums.IndexedValueTypeFromString(text)
		if err != nil {
			return fmt.Errorf("--search-attribute %s=%s: unknown type", name, text)
		}
		types[name] = kind
	}
	c, err := client.NewLazyClient(client.Options{HostPort: address, Namespace: f.Namespace, Logger: log.NewStructuredLogger(discard())})
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer c.Close()
	if err := retry(ctx, func() error { return register(ctx, c, f) }); err != nil {
		return fmt.Errorf("register namespace %s: %w", f.Namespace, err)
	}
	if err := retry(ctx, func() error { return addSearchAttributes(ctx, c, f.Namespace, types) }); err != nil {
		return fmt.Errorf("add search attributes: %w", err)
	}
	return retry(ctx, func() error { return usable(ctx, c, f.Namespace, types) })
}

// retry tries again while the server is coming up.
func retry(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func register(ctx context.Context, c client.Client, f flags) error {
	_, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: f.Namespace})
	var missing *serviceerror.NamespaceNotFound
	if !errors.As(err, &missing) {
		return err
	}
	_, err = c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: f.Namespace, WorkflowExecutionRetentionPeriod: durationpb.New(f.Retention),
	})
	var exists *serviceerror.NamespaceAlreadyExists
	if errors.As(err, &exists) {
		return nil
	}
	return err
}

func addSearchAttributes(ctx context.Context, c client.Client, namespace string, types map[string]enums.IndexedValueType) error {
	list, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	missing := map[string]enums.IndexedValueType{}
	for name, kind := range types {
		if _, there := list.GetCustomAttributes()[name]; !there {
			missing[name] = kind
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: missing,
	})
	return err
}

// usable asks as a client would: a query that names every search attribute.
func usable(ctx context.Context, c client.Client, namespace string, types map[string]enums.IndexedValueType) error {
	query := ""
	for name := range types {
		if query != "" {
			query += " AND "
		}
		query += name + " IS NULL"
	}
	_, err := c.WorkflowService().CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: namespace, Query: query,
	})
	return err
}
