package main

import (
	"context"
	"fmt"
	"os"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/webhook"
	"github.com/mailtura/mailtura/internal/webhookhttp"
	"github.com/mailtura/mailtura/worker"
)

// openWebhooks makes what calls endpoints, and reads the keys that their secrets are sealed with.
func (a *app) openWebhooks() (err error) {
	a.endpoints = webhookhttp.New(webhookhttp.Config{Loopback: webhook.Loopback(a.WebhookLoopback), UserAgent: "Mailtura/" + version})
	a.stops = append(a.stops, a.endpoints.Close)
	a.keys, err = a.keyring()
	return err
}

// keyring reads the master keys; nil: there are none.
func (s secrets) keyring() (*keyring.Keyring, error) {
	text, flag := s.MasterKey, "--master-key"
	if text == "" && s.MasterKeyFile != "" {
		content, err := os.ReadFile(s.MasterKeyFile)
		if err != nil {
			return nil, fmt.Errorf("read --master-key-file: %w", err)
		}
		text, flag = string(content), "--master-key-file"
	}
	if text == "" {
		return nil, nil //nolint:nilnil // without keys there are no webhooks
	}
	keys, err := keyring.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", flag, err)
	}
	return keys, nil
}

func (a *app) webhooks() *activities.Webhooks {
	return &activities.Webhooks{Store: a.store, Keys: a.keys, Caller: a.endpoints, Payload: apiserver.EventPayload, Log: a.log}
}

// wakeWebhooks has webhooks called until the context ends. Without a master key their events
// wait for a worker that has one.
func (a *app) wakeWebhooks(ctx context.Context) (done <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if a.keys != nil {
			worker.WakeWebhooks(ctx, a.store, a.flow, a.log)
		}
	}()
	return ended
}
