package objectstest_test

import (
	"testing"

	"github.com/reelflow/reelflow/internal/objects/objectstest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	objectstest.Run(t, func(*testing.T) objectstest.Subject {
		return objectstest.NewMemory("memory").Subject()
	})
}

func TestMemoryUnversioned(t *testing.T) {
	t.Parallel()
	objectstest.Run(t, func(*testing.T) objectstest.Subject {
		return objectstest.NewMemoryUnversioned("memory").Subject()
	})
}
