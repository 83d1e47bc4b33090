// Package flow is the contract with Temporal: workflow and activity names, task queues,
// workflow ids, search attributes, message types, and the typed client that starts and
// messages workflows. The code behind the names is in workflows and activities.
//
// Only ids and numbers travel through Temporal: whoever may open Temporal UI reads
// workflow ids, search attributes and histories, so no address, subject or body is in any.
package flow

import (
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
)

// Namespace is the Temporal namespace that is used unless configured otherwise.
const Namespace = "mailtura"

// Task queues.
const (
	ControlQueue = "mailtura-control" // entities and life cycles: few, long, must never wait behind mail
	SendQueue    = "mailtura-send"    // sends
)

// Workflow types; each is the name of the function in package workflows.
const (
	SendEmails      = "SendEmails"
	TenantQuota     = "TenantQuota"
	ProvisionTenant = "ProvisionTenant"
	DeleteTenant    = "DeleteTenant"
	BulkSend        = "BulkSend"
)

// TenantID is the search attribute that every workflow of a tenant carries.
var TenantID = temporal.NewSearchAttributeKeyKeyword("TenantId")

// SendClass is the search attribute that says whether a send is transactional or bulk.
var SendClass = temporal.NewSearchAttributeKeyKeyword("SendClass")

// BulkSendID is the search attribute that says which bulk send a workflow carries.
var BulkSendID = temporal.NewSearchAttributeKeyKeyword("BulkSendId")

// SearchAttributes are all custom search attributes by name: what a Temporal cluster
// must know before Mailtura runs on it.
var SearchAttributes = map[string]enums.IndexedValueType{
	TenantID.GetName():   enums.INDEXED_VALUE_TYPE_KEYWORD,
	SendClass.GetName():  enums.INDEXED_VALUE_TYPE_KEYWORD,
	BulkSendID.GetName(): enums.INDEXED_VALUE_TYPE_KEYWORD,
}

// AttributeTypes are SearchAttributes with their types in words, such as "Keyword".
func AttributeTypes() map[string]string {
	types := make(map[string]string, len(SearchAttributes))
	for name, kind := range SearchAttributes {
		types[name] = kind.String()
	}
	return types
}
