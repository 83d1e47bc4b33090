package main

import (
	"os"

	"github.com/mailtura/mailtura/apiserver"
)

type openapiCmd struct{}

// Run prints the OpenAPI document.
func (openapiCmd) Run() error {
	doc, err := apiserver.New(apiserver.Config{}).OpenAPI()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(doc)
	return err
}
