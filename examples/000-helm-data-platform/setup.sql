CREATE TABLE customers (
    id SERIAL PRIMARY KEY,
    email VARCHAR(255) NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE orders (
    id SERIAL PRIMARY KEY,
    customer_id INTEGER REFERENCES customers(id),
    total NUMERIC(10,2) NOT NULL,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE not_captured (id SERIAL PRIMARY KEY);
INSERT INTO customers (email) VALUES ('ann@example.com');
-- publication.autocreate.mode=filtered: the connector makes the publication, so its role owns the tables.
CREATE ROLE cdc REPLICATION LOGIN PASSWORD 'cdc-password';
ALTER TABLE customers OWNER TO cdc;
ALTER TABLE orders OWNER TO cdc;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO cdc', current_database()); END $$;
