package catalog

import (
	"context"
	"errors"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/reelflow/reelflow/video"
)

// Time that runs out between two statements of a transaction is no fault of ours: what was
// asked can be asked again.
func TestATransactionThatIsCutOffCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	c, err := Open(t.Context(), "sqlite://"+t.TempDir()+"/catalog.db")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	err = c.transact(ctx, func(tx *gorm.DB) error {
		cancel()
		// As a statement that does not look at the context of its own.
		tx = tx.WithContext(t.Context())
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			var n int
			if err := tx.Raw("SELECT 1").Scan(&n).Error; err != nil {
				return err
			}
		}
		return errors.New("the transaction goes on without its context")
	})
	if video.CodeOf(err) != video.Unavailable {
		t.Errorf("got %v", err)
	}
}
