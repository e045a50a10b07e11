package catalog

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Installation is the one installation that a catalog belongs to: its id, and
// whether every other place - vault, stores, Temporal - has it. Founding lasts from
// the first program that made the id until the last place has been given it; only
// as long as that may an empty place be given it without a person's word.
type Installation struct {
	ID        string    `gorm:"primaryKey"`
	MadeAt    time.Time `gorm:"serializer:instant"`
	FoundedAt time.Time `gorm:"serializer:instant"` // zero while it is being founded
}

// TableName implements gorm's schema.Tabler.
func (Installation) TableName() string { return "installation" }

// Adoption records that a place was given the installation's id: when it was
// founded, or by an operator.
type Adoption struct {
	Place     string
	AdoptedAt time.Time `gorm:"serializer:instant"`
	Replaced  string    // the id that was there; empty for none
}

// Installation returns the installation that the catalog belongs to; its ID is empty
// when it belongs to none.
func (c *Catalog) Installation(ctx context.Context) (Installation, error) {
	row, err := installation(c.read.WithContext(ctx))
	return row, codedError(err)
}

func installation(db *gorm.DB) (Installation, error) {
	var rows []Installation
	err := db.Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return Installation{}, err
	}
	return rows[0], nil
}

// FoundInstallation makes id the installation's, unless the catalog belongs to one,
// and returns the one that it belongs to then: of any number of programs that found
// at the same time, one makes the id of all.
func (c *Catalog) FoundInstallation(ctx context.Context, id string) (row Installation, err error) {
	err = c.transact(ctx, func(tx *gorm.DB) error {
		fresh := Installation{ID: id, MadeAt: time.Now()}
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&fresh).Error; err != nil {
			return err
		}
		row, err = installation(tx)
		return err
	})
	return row, err
}

// ReplaceInstallation makes the catalog belong to the installation id, whatever it
// belonged to before, and records it under place. Founded says that the other places
// have the id already: then none is given it without a person's word.
func (c *Catalog) ReplaceInstallation(ctx context.Context, place, id string, founded bool) error {
	return c.transact(ctx, func(tx *gorm.DB) error {
		before, err := installation(tx.Clauses(forUpdate))
		if err != nil || before.ID == id {
			return err
		}
		now := time.Now()
		row := Installation{ID: id, MadeAt: now}
		if founded {
			row.FoundedAt = now
		}
		if err := tx.Where("1 = 1").Delete(&Installation{}).Error; err != nil {
			return err
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return tx.Create(&Adoption{Place: place, AdoptedAt: now, Replaced: before.ID}).Error
	})
}

// Adoptions returns every record of a place that was given the id, oldest first.
func (c *Catalog) Adoptions(ctx context.Context) ([]Adoption, error) {
	var rows []Adoption
	err := c.read.WithContext(ctx).Order("adopted_at, place").Find(&rows).Error
	return rows, codedError(err)
}

// RecordAdoption records that an operator gives a place the id, before it is done.
func (c *Catalog) RecordAdoption(ctx context.Context, place, replaced string) error {
	row := Adoption{Place: place, AdoptedAt: time.Now(), Replaced: replaced}
	return codedError(c.write.WithContext(ctx).Create(&row).Error)
}

// RecordFounding records that a place has the id, once, and that the installation is
// founded when all of the places have it. It does nothing for an installation that
// is founded, or is another than id. It reports whether it is founded.
func (c *Catalog) RecordFounding(ctx context.Context, id, place string, all []string) (founded bool, err error) {
	err = c.transact(ctx, func(tx *gorm.DB) error {
		row, err := installation(tx.Clauses(forUpdate)) // places that end at the same time see each other
		if err != nil || row.ID != id || !row.FoundedAt.IsZero() {
			founded = row.ID == id && !row.FoundedAt.IsZero()
			return err
		}
		var have []string
		if err := tx.Model(&Adoption{}).Pluck("place", &have).Error; err != nil {
			return err
		}
		if !slices.Contains(have, place) {
			if err := tx.Create(&Adoption{Place: place, AdoptedAt: time.Now()}).Error; err != nil {
				return err
			}
			have = append(have, place)
		}
		for _, each := range all {
			if !slices.Contains(have, each) {
				return nil
			}
		}
		founded = true
		row.FoundedAt = time.Now()
		return tx.Select("founded_at").Updates(&row).Error
	})
	return founded, err
}

// Unused reports whether the catalog knows no video, neither a living nor an erased one.
func (c *Catalog) Unused(ctx context.Context) (bool, error) {
	db := c.read.WithContext(ctx)
	for _, query := range []string{"SELECT 1 FROM videos LIMIT 1", "SELECT 1 FROM ledger LIMIT 1"} {
		var any []int
		if err := db.Raw(query).Scan(&any).Error; err != nil || len(any) > 0 {
			return false, codedError(err)
		}
	}
	return true, nil
}
