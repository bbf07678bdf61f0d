CREATE TABLE users (
    user_id UUID PRIMARY KEY,
    email VARCHAR(255) UNIQUE NOT NULL,
    first_name VARCHAR(100),
    last_name VARCHAR(100),
    tier VARCHAR(20) DEFAULT 'bronze',
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE products (
    product_id UUID PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    category VARCHAR(100),
    price DECIMAL(10,2),
    is_active BOOLEAN DEFAULT true,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE OR REPLACE FUNCTION update_updated_at_column()
RETURNS TRIGGER AS $$
BEGIN
    NEW.updated_at = CURRENT_TIMESTAMP;
    RETURN NEW;
END;
$$ language 'plpgsql';

CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

-- The document's permissions for this user: REPLICATION and SELECT. The publication that its
-- connector names is made by an administrator.
CREATE ROLE debezium REPLICATION LOGIN PASSWORD 'dbz-password';
GRANT USAGE ON SCHEMA public TO debezium;
GRANT SELECT ON users, products TO debezium;
CREATE PUBLICATION debezium_publication FOR TABLE users, products;

INSERT INTO users (user_id, email, first_name, last_name, tier, created_at, updated_at) VALUES
    ('550e8400-e29b-41d4-a716-446655440000', 'john.doe@example.com', 'John', 'Doe', 'gold',
     '2024-01-15T10:30:00Z', '2024-01-15T10:30:00Z');
