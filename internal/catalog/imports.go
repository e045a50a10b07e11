package catalog

import (
	"context"

	"gorm.io/gorm"
)

// Reseal replaces what is sealed beside an upload: of an import, where it comes
// from and in which state that was found. It fails as DeclareLength does.
func (c *Catalog) Reseal(ctx context.Context, lease Lease, sealed []byte) error {
	return c.receiving(ctx, lease.Video, func(tx *gorm.DB, u Upload) error {
		if err := u.mustBeHeldBy(lease); err != nil {
			return err
		}
		return tx.Model(&u).Update("sealed", sealed).Error
	})
}
