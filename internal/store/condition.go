package store

// Condition is asked about what is to be changed, in the transaction that changes it and
// under its lock. Its error is the outcome, and nothing is changed.
type Condition[T any] func(current T) error

func checkAll[T any](conditions []Condition[T], current T) error {
	for _, condition := range conditions {
		if err := condition(current); err != nil {
			return err
		}
	}
	return nil
}
