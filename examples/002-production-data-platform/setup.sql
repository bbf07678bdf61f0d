CREATE TABLE orders (
    order_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    restaurant_id TEXT NOT NULL,
    status VARCHAR(20) NOT NULL,
    total NUMERIC(10,2) NOT NULL,
    items JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE ROLE pipeline REPLICATION LOGIN PASSWORD 'pipeline-password';
GRANT SELECT ON orders TO pipeline;
CREATE PUBLICATION orders_cdc FOR TABLE orders;
INSERT INTO orders VALUES
    ('o-1', 'u-1', 'r-1', 'placed', 12.50, '[{"sku": "pizza", "quantity": 1}]'),
    ('o-2', 'u-2', 'r-1', 'placed', 8.00, '[{"sku": "soup", "quantity": 2}]');
